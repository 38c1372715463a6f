/** The secrets that are in force, for those who must not make new ones: commands and the doctor. */
import { dataDirPaths } from "./data-dir.ts";
import type { Config } from "./schema.ts";
import { findSecretFile } from "./secret-files.ts";

/** The admin token that the settings or the data folder give; null when neither does. */
export async function findAdminToken(config: Config): Promise<string | null> {
  if (config.adminToken !== null) return config.adminToken;
  const file = await findSecretFile(dataDirPaths(config.dataDir).adminToken);
  return file === null || file.value === "" ? null : file.value;
}

/** The encryption key that the settings or the data folder give; null when neither gives a whole one. */
export async function findEncryptionKey(config: Config): Promise<Uint8Array | null> {
  const file = await findSecretFile(dataDirPaths(config.dataDir).encryptionKey);
  const hex = config.encryptionKey ?? file?.value ?? "";
  return /^[0-9a-fA-F]{64}$/.test(hex) ? Buffer.from(hex, "hex") : null;
}
