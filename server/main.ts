import { readConfig, withDotEnv } from "./config/read.ts";
import { serve } from "./serve.ts";

await serve(readConfig(withDotEnv(process.env, process.cwd())));
