/** The `allulook` command: wires the sub-commands together, nothing else. */
import { Command } from "commander";
import { reportError } from "./output.ts";
import { register as attack } from "./commands/attack.ts";
import { register as audit } from "./commands/audit.ts";
import { register as authority } from "./commands/authority.ts";
import { register as bench } from "./commands/bench.ts";
import { register as client } from "./commands/client.ts";
import { register as compare } from "./commands/compare.ts";
import { register as compress } from "./commands/compress.ts";
import { register as compareWeights } from "./commands/compare-weights.ts";
import { register as coordinator } from "./commands/coordinator.ts";
import { register as data } from "./commands/data.ts";
import { register as demo } from "./commands/demo.ts";
import { register as doctor } from "./commands/doctor.ts";
import { register as engine } from "./commands/engine.ts";
import { register as evaluate } from "./commands/evaluate.ts";
import { register as explain } from "./commands/explain.ts";
import { register as join } from "./commands/join.ts";
import { register as model } from "./commands/model.ts";
import { register as operator } from "./commands/operator.ts";
import { register as outbox } from "./commands/outbox.ts";
import { register as plan } from "./commands/plan.ts";
import { register as predict } from "./commands/predict.ts";
import { register as pretrain } from "./commands/pretrain.ts";
import { register as privacy } from "./commands/privacy.ts";
import { register as pseudoLabel } from "./commands/pseudo-label.ts";
import { register as release } from "./commands/release.ts";
import { register as simulate } from "./commands/simulate.ts";
import { register as transcript } from "./commands/transcript.ts";
import { register as tune } from "./commands/tune.ts";

const program = new Command("allulook")
  .description("Federated learning with secure aggregation for RGB-D pictures and text")
  .version("0.1.0")
  .exitOverride()
  .showHelpAfterError("(add --help for usage)");

const families = [
  demo,
  doctor,
  engine,
  operator,
  coordinator,
  authority,
  join,
  plan,
  client,
  outbox,
  data,
  simulate,
  tune,
  compare,
  compareWeights,
  evaluate,
  predict,
  explain,
  pseudoLabel,
  compress,
  pretrain,
  model,
  release,
  transcript,
  privacy,
  attack,
  audit,
  bench,
];
for (const register of families) register(program);
// exitOverride is not inherited by sub-commands that were made before it took effect.
for (const command of program.commands) command.exitOverride();

// Whoever reads the output may stop early, as `head` does.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit();
  throw error;
});

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = reportError(error, process.argv.includes("--json"));
}
