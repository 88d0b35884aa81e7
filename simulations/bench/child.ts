/** Entry of one benchmark's process: prints its figures and its peak memory as one JSON line. */
import { MODEL_BENCHMARKS } from "./model-suite.ts";
import { BENCHMARKS } from "./suite.ts";

const benchmark = [...BENCHMARKS, ...MODEL_BENCHMARKS].find(({ name }) => name === process.argv[2]);
if (benchmark === undefined) throw new Error(`there is no benchmark ${process.argv[2]}`);
const figures = await benchmark.run();
process.stdout.write(`${JSON.stringify({ ...figures, peakRssMB: process.resourceUsage().maxRSS / 1024 })}\n`);
process.exit(0);
