import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DatabaseUnavailableError } from "../../../db-adapters/contract.ts";
import { PostgresUrlError } from "../../../db-adapters/postgres/errors.ts";
import { openPostgres } from "../../../db-adapters/postgres/open.ts";
import { rdsCertificates } from "../../../docker/rds-certificates.ts";
import { makeDatabase, openFor } from "../../support/postgres.ts";
import { Cluster } from "./cluster.ts";

const run = promisify(execFile);

/** Two authorities, as a bundle has many, and a server certificate of the second for 127.0.0.1. */
async function makeCertificates(dir: string): Promise<Record<string, string>> {
  const openssl = (...args: string[]) => run("openssl", args, { cwd: dir });
  const key = ["-newkey", "rsa:2048", "-nodes", "-days", "2"];
  for (const name of ["other", "ca"])
    await openssl(
      "req",
      "-x509",
      ...key,
      "-subj",
      `/CN=${name}`,
      "-keyout",
      `${name}.key`,
      "-out",
      `${name}.crt`,
    );
  await openssl("req", ...key, "-subj", "/CN=db", "-keyout", "server.key", "-out", "server.csr");
  await writeFile(join(dir, "names"), "subjectAltName=IP:127.0.0.1\n");
  const sign = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names", "-days", "2"];
  await openssl("x509", "-req", "-in", "server.csr", ...sign, "-out", "server.crt");
  const text = (name: string) => readFile(join(dir, name), "utf8");
  await writeFile(join(dir, "bundle.pem"), (await text("other.crt")) + (await text("ca.crt")));
  return { "server.crt": await text("server.crt"), "server.key": await text("server.key") };
}

describe("TLS", () => {
  let dir = "";
  let cluster: Cluster | null = null;

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "statehouse-tls-"));
    const files = await makeCertificates(dir);
    const settings = { ssl: "on", ssl_cert_file: "../server.crt", ssl_key_file: "../server.key" };
    cluster = await Cluster.start({ fsync: false, files, settings });
  });
  afterAll(async () => {
    await cluster?.remove();
    await rm(dir, { recursive: true, force: true });
  });

  const urlWith = (query: string, host = "127.0.0.1") => {
    const url = new URL(cluster?.url ?? "");
    url.hostname = host;
    return `${url.href}?${query}`;
  };

  it.each(["require", "verify-full"])("refuses an unknown authority (sslmode=%s)", async (mode) => {
    const opening = openPostgres({ url: urlWith(`sslmode=${mode}`) });
    await expect(opening).rejects.toThrow(DatabaseUnavailableError);
    await expect(opening).rejects.toThrow(/certificate/);
  });

  it("refuses the wrong authority and the wrong name", async () => {
    const other = openPostgres({ url: urlWith("sslmode=verify-full"), caFile: join(dir, "other.crt") });
    await expect(other).rejects.toThrow(DatabaseUnavailableError);
    const caFile = join(dir, "ca.crt");
    const elsewhere = openPostgres({ url: urlWith("sslmode=require", "localhost"), caFile });
    await expect(elsewhere).rejects.toThrow(/altnames/);
  });

  it("checks with the image's list of RDS authorities: refused without one that signed, taken with it", async () => {
    const [rds, both] = [join(dir, "rds.pem"), join(dir, "rds-and-ours.pem")];
    await writeFile(rds, rdsCertificates());
    await writeFile(both, rdsCertificates() + (await readFile(join(dir, "ca.crt"), "utf8")));
    const url = urlWith("sslmode=verify-full");
    await expect(openPostgres({ url, caFile: rds })).rejects.toThrow(/certificate/);
    expect((await (await openFor({ url, caFile: both })).describe()).tls).toBe("yes");
  });

  it("accepts the given authority, from a bundle too, by option or by URL", async () => {
    const bundle = join(dir, "bundle.pem");
    const byOption = await openFor({ url: urlWith("sslmode=verify-full"), caFile: bundle });
    expect((await byOption.describe()).tls).toBe("yes");
    const byUrl = await openFor({ url: urlWith(`sslmode=require&sslrootcert=${bundle}`) });
    expect((await byUrl.describe()).tls).toBe("yes");
    const byFileAlone = await openFor({ url: cluster?.url ?? "", caFile: bundle });
    expect((await byFileAlone.describe()).tls).toBe("yes");
    const nameless = await openFor({ url: urlWith("sslmode=verify-ca", "localhost"), caFile: bundle });
    expect((await nameless.describe()).tls).toBe("yes");
  });

  it("never falls back to an open connection", async () => {
    const url = `${await makeDatabase()}?sslmode=require`;
    await expect(openPostgres({ url, connectWaitMs: 100 })).rejects.toThrow(/does not support SSL/);
  });

  it.each(["prefer", "allow", "no-verify"])("refuses sslmode=%s, which verifies nothing", async (mode) => {
    await expect(openPostgres({ url: urlWith(`sslmode=${mode}`) })).rejects.toThrow(PostgresUrlError);
    await expect(openPostgres({ url: "mysql://x" })).rejects.toThrow(PostgresUrlError);
  });
});
