/** The second shape for tests that know nothing of it: STATEHOUSE_TEST_SHAPE=aurora puts them on Postgres and S3. */
import { randomUUID } from "node:crypto";
import { afterAll } from "vitest";
import { query, testCluster, urlOf } from "./postgres.ts";
import { newPrefix, startS3 } from "./s3.ts";

const s3 = await startS3();
const databases: string[] = [];

afterAll(async () => {
  await s3.stop();
  for (const name of databases.splice(0))
    await query(await testCluster(), `drop database if exists ${name} with (force)`);
});

/** Settings of a server with a database and a prefix of its own. */
export async function newAurora(): Promise<Record<string, string>> {
  const name = `test_${randomUUID().replaceAll("-", "")}`;
  await query(await testCluster(), `create database ${name} template template0`);
  databases.push(name);
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, ...settings } = s3.env;
  // The AWS SDK reads the process's own environment.
  Object.assign(process.env, { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY });
  return {
    ...settings,
    STATEHOUSE_MODE: "aurora",
    STATEHOUSE_DATABASE_URL: urlOf(await testCluster(), name),
    STATEHOUSE_ENCRYPTION_KEY: "6b".repeat(32),
    STATEHOUSE_S3_FORCE_PATH_STYLE: "true",
    STATEHOUSE_S3_PREFIX: newPrefix(),
  };
}
