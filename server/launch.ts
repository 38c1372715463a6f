#!/usr/bin/env node
/**
 * The bundle's first file, which decides what a start costs.
 *
 * What V8 compiled at an earlier start is kept beside the bundle and used again. And the space for young objects
 * does not grow while everything is being set up: what that makes is kept for good, so that a larger space would
 * only stay in memory, empty, for as long as the server is idle.
 */
import { enableCompileCache } from "node:module";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";

/** Well past the start, on a slow machine too. */
const STARTED_AFTER_MS = 3_000;

setFlagsFromString("--semi-space-growth-factor=1");
setTimeout(() => setFlagsFromString("--semi-space-growth-factor=2"), STARTED_AFTER_MS).unref(); // V8's own
const directory = fileURLToPath(new URL("./compile-cache", import.meta.url));
enableCompileCache({ directory, portable: true }); // the image is built in another folder
await import("./main.ts");
