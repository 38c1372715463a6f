/**
 * URNs, `urn:pulumi:{stack}::{project}::{parentType$...$type}::{name}`, and provider references, `{urn}::{id}`.
 * A name may itself contain "::". Source: sdk/go/common/resource/urn, sdk/go/common/providers.
 */

export interface Urn {
  readonly stack: string;
  readonly project: string;
  readonly qualifiedType: string;
  readonly name: string;
}

const PREFIX = "urn:pulumi:";
const DELIMITER = "::";
const PROVIDER_TYPE_PREFIX = "pulumi:providers:";

export const ROOT_STACK_TYPE = "pulumi:pulumi:Stack";
/** The ID the engine gives a provider that has none yet. */
export const UNKNOWN_ID = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

/** The parts of a URN, or null when the text is not one. */
export function parseUrn(text: string): Urn | null {
  if (!text.startsWith(PREFIX)) return null;
  const stackEnd = text.indexOf(DELIMITER, PREFIX.length);
  if (stackEnd < 0) return null;
  const projectEnd = text.indexOf(DELIMITER, stackEnd + 2);
  if (projectEnd < 0) return null;
  const typeEnd = text.indexOf(DELIMITER, projectEnd + 2);
  if (typeEnd < 0) return null;
  return {
    stack: text.slice(PREFIX.length, stackEnd),
    project: text.slice(stackEnd + 2, projectEnd),
    qualifiedType: text.slice(projectEnd + 2, typeEnd),
    name: text.slice(typeEnd + 2),
  };
}

export function formatUrn(urn: Urn): string {
  return `${PREFIX}${urn.stack}::${urn.project}::${urn.qualifiedType}::${urn.name}`;
}

/** The resource's own type: the part of the qualified type after its last "$". */
export function typeOf(urn: Urn): string {
  return urn.qualifiedType.slice(urn.qualifiedType.lastIndexOf("$") + 1);
}

export function isProviderType(type: string): boolean {
  return type.startsWith(PROVIDER_TYPE_PREFIX) && type.length > PROVIDER_TYPE_PREFIX.length;
}

/** Whether a provider reference may name this URN. */
export function isProviderUrn(text: string): boolean {
  const urn = parseUrn(text);
  return urn !== null && isProviderType(typeOf(urn));
}

export interface ProviderReference {
  readonly urn: string;
  readonly id: string;
}

/** Splits at the last "::"; null when there is none. Whether the URN is a provider's is not looked at. */
export function splitProviderReference(text: string): ProviderReference | null {
  const at = text.lastIndexOf(DELIMITER);
  return at < 0 ? null : { urn: text.slice(0, at), id: text.slice(at + 2) };
}

export function formatProviderReference(reference: ProviderReference): string {
  return `${reference.urn}::${reference.id}`;
}
