// Runs one load in a process of its own: node load-main.ts JOB, both job and result as JSON.
import { LoadJob, runLoad } from "./load.ts";

const job = LoadJob.parse(JSON.parse(process.argv[2] ?? ""));
process.stdout.write(`${JSON.stringify(await runLoad(job))}\n`);
