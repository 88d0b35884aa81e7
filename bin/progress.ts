/** Live progress on stderr: a line that is rewritten on a terminal, one line a round elsewhere. */
import type { Observer } from "../coordinator/round/parts.ts";
import type { RoundReport } from "../coordinator/round/report.ts";
import type { ClientName } from "../shared/ids.ts";
import { note } from "./output.ts";

export interface Progress {
  readonly observer: Observer;
  training(client: ClientName, step: number, steps: number): void;
  end(): void;
}

/** @param rounds how many there will be */
export function liveProgress(rounds: number): Progress {
  const terminal = process.stderr.isTTY === true;
  const training = new Map<ClientName, { step: number; steps: number }>();
  let phase = "starting";
  let drawn = 0;
  const draw = () => {
    if (!terminal || Date.now() - drawn < 100) return;
    drawn = Date.now();
    const done = [...training.values()].reduce((sum, { step }) => sum + step, 0);
    const all = [...training.values()].reduce((sum, { steps }) => sum + steps, 0);
    const bar = all === 0 ? "" : ` ${"█".repeat(Math.round((20 * done) / all)).padEnd(20, "░")} ${done}/${all} steps`;
    process.stderr.write(`\r\u001b[2K${phase}${bar}`);
  };
  const clear = () => {
    if (terminal) process.stderr.write("\r\u001b[2K");
  };
  return {
    observer: {
      event: (_event, state) => {
        const { current } = state;
        const inner = current.phase === "training" ? current.sum.phase : current.phase;
        phase = `round ${Math.max(state.round, 0)}/${rounds}: ${inner}`;
        draw();
      },
      round: (report) => {
        training.clear();
        clear();
        note(roundLine(report));
      },
      refused: (client, reason) => {
        clear();
        note(`  ${client} takes no part: ${reason.code}: ${reason.message}`);
      },
      trouble: (what, error) => {
        clear();
        note(`  ${what}: ${error instanceof Error ? error.message : String(error)}; it is tried again`);
      },
    },
    training: (client, step, steps) => {
      training.set(client, { step, steps });
      draw();
    },
    end: clear,
  };
}

/** One round in one line. */
export function roundLine(report: RoundReport): string {
  const head = `round ${report.round} ${report.status}`;
  if (report.status === "failed") return `${head}: ${report.reason?.code ?? ""} ${report.reason?.message ?? ""}`;
  const loss = report.loss === null ? "" : `  loss ${report.loss.toFixed(3)}`;
  const { segmentation, detection, depth, scene } = report.metrics;
  const shown = [
    ["mIoU", segmentation?.["mIoU"]],
    ["AP50", detection?.["AP50"]],
    ["depth absRel", depth?.["absRel"]],
    ["scene", scene?.["accuracy"]],
  ] as const;
  const metrics = shown
    .flatMap(([name, value]) => (value === undefined ? [] : [`${name} ${value.toFixed(3)}`]))
    .join("  ");
  return `${head}  ${report.survivors}/${report.cohort} clients${loss}  ${metrics}  ${report.seconds.total.toFixed(1)} s`;
}
