import { describeDatabase } from "../conformance/database.ts";
import { makeSqlite } from "./sqlite/support.ts";

describeDatabase("sqlite on the caller's thread", () => makeSqlite({ thread: "callers" }));
describeDatabase("sqlite in a thread of its own", () => makeSqlite({ thread: "own" }));
