/**
 * Memory given back at once. The garbage collector counts what buffers hold outside its heap only loosely: a
 * stream of 64 KiB chunks that are left to it takes some 80 MB before the first is freed.
 */

/** Longer than anything of Buffer's shared pool, and short enough to leave the rest to the collector. */
const FREE_FROM_BYTES = 16 * 1024;

/**
 * Frees a chunk that nobody will read again; its array is empty afterwards. A chunk that shares its memory with
 * others is left alone.
 */
export function freeBytes({ buffer, byteOffset, byteLength }: Uint8Array): void {
  if (byteLength < FREE_FROM_BYTES || byteOffset !== 0 || byteLength !== buffer.byteLength) return;
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}
