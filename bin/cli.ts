/** The `allulook` command: wires the sub-commands together, nothing else. */
import { Command } from "commander";
import { reportError } from "./output.ts";
import { register as client } from "./commands/client.ts";
import { register as data } from "./commands/data.ts";
import { register as doctor } from "./commands/doctor.ts";
import { register as engine } from "./commands/engine.ts";
import { register as release } from "./commands/release.ts";

const program = new Command("allulook")
  .description("Federated learning with secure aggregation for RGB-D pictures and text")
  .version("0.1.0")
  .exitOverride()
  .showHelpAfterError("(add --help for usage)")
  .configureHelp({ showGlobalOptions: true });

for (const register of [doctor, engine, data, client, release]) register(program);

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = reportError(error, process.argv.includes("--json"));
}
