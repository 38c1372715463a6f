import { describeDatabase } from "../conformance/database.ts";
import { makeSqlite } from "./sqlite/support.ts";

describeDatabase("sqlite", makeSqlite);
