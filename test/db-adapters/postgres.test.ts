import { describeDatabase } from "../conformance/database.ts";
import { makePostgres } from "../support/postgres.ts";

describeDatabase("postgres", makePostgres);
