/** A client whose shares are false for everybody, or who accuses everybody: the round is repeated once, without it alone. */
import { afterEach, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { blamed } from "../../../coordinator/round/phases/accusations.ts";
import type { RoundReport } from "../../../coordinator/round/report.ts";
import type { Exclusion, Sum } from "../../../coordinator/round/state.ts";
import type { ClientName } from "../../../shared/ids.ts";
import type { ClientMessage } from "../../../shared/wire/messages.ts";
import { accusing, withFalseShares } from "../../fakes/false-shares.ts";
import { RoundWorld } from "../../fakes/round-world.ts";
import { FakeTrainer } from "../../fakes/trainer.ts";

const worlds: RoundWorld[] = [];
afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

/** Five clients, the first of which sends what `tamper` makes of its messages. Evaluation off, so that every sum trains. */
async function federation(
  tamper: (message: ClientMessage, world: RoundWorld) => ClientMessage,
  config: Record<string, unknown> = {},
): Promise<{ reports: RoundReport[]; reason: string; world: RoundWorld }> {
  const reports: RoundReport[] = [];
  const world: RoundWorld = new RoundWorld({
    config: { schedule: { rounds: 1, cohort: { min: 3 } }, ...config },
    trainers: ({ labels }) => Object.fromEntries([0, 1, 2, 3, 4].map((i) => [`site-${i}`, new FakeTrainer(labels)])),
    options: { evaluationEvery: 0, failures: 1 },
    network: { toCoordinator: (client, message) => (client === BAD ? tamper(message, world) : message) },
    observer: { round: (report) => void reports.push(report) },
  });
  worlds.push(world);
  const { code: reason } = await world.run();
  return { reports, reason, world };
}

const BAD = "site-0";
const OTHERS = ["site-1", "site-2", "site-3", "site-4"];

function falseFor(holders: readonly string[], falsehood: "box" | "commitment") {
  return (message: ClientMessage, world: RoundWorld): ClientMessage =>
    message.type === "step" && message.signed.step === "share-keys"
      ? {
          type: "step",
          signed: withFalseShares(message.signed, world.keyOf(BAD), falsehood, (name) => holders.includes(name)),
        }
      : message;
}

describe("one client of five", () => {
  test.each(["box", "commitment"] as const)(
    "whose shares have a false %s for everybody is named, and the round is repeated once without it",
    async (falsehood) => {
      const { reports, reason } = await federation(falseFor(OTHERS, falsehood));
      expect(reason).toBe("DONE");
      expect(reports).toHaveLength(1);
      expect(reports[0]).toMatchObject({ status: "completed", attempts: 2, cohort: 4, survivors: 4 });
      const message = `${BAD} is accused by ${OTHERS.join(", ")}`;
      expect(reports[0]?.excluded).toEqual([{ client: BAD, code: "SECAGG_SHARE_FALSE", message }]);
    },
    20_000,
  );

  test("whose share is false for one other costs that one its place in the attempt, and no repetition", async () => {
    const { reports, reason } = await federation(falseFor(["site-2"], "box"));
    expect(reason).toBe("DONE");
    expect(reports[0]).toMatchObject({ status: "completed", attempts: 1, survivors: 4 });
    expect(reports[0]?.excluded).toMatchObject([{ client: "site-2", code: "SECAGG_SHARE_FALSE" }]);
    expect(reports[0]?.excluded[0]?.message).toContain(`share of ${BAD}`);
  }, 20_000);

  test("that accuses everybody expels nobody but itself", async () => {
    const { reports, reason } = await federation((message, world) =>
      message.type === "step" && message.signed.step === "masked-input"
        ? accusing(message.signed, world.keyOf(BAD), OTHERS)
        : message,
    );
    expect(reason).toBe("DONE");
    expect(reports[0]).toMatchObject({ status: "completed", attempts: 1, survivors: 4 });
    expect(reports[0]?.excluded.map(({ client }) => client)).toEqual([BAD]);
  }, 20_000);

  test.each<[string, (message: ClientMessage, world: RoundWorld) => ClientMessage]>([
    [
      "in another's name",
      (message, world) =>
        message.type === "step" && message.signed.step === "masked-input"
          ? accusing(message.signed, world.keyOf("site-1"), ["site-2"])
          : message,
    ],
    [
      "of a stranger",
      (message, world) =>
        message.type === "step" && message.signed.step === "masked-input"
          ? accusing(message.signed, world.keyOf(BAD), ["nobody"])
          : message,
    ],
  ])(
    "whose accusation is %s only leaves",
    async (_what, tamper) => {
      const { reports, reason, world } = await federation(tamper);
      expect(reason).toBe("DONE");
      expect(reports[0]).toMatchObject({ status: "completed", attempts: 1, survivors: 4 });
      const [text] = world.transcripts.values();
      expect(JSON.parse(text as string)).toMatchObject({ transcript: { accusations: [] } });
    },
    20_000,
  );

  test("the transcript of the attempt that failed holds the accusations, each signed", async () => {
    const { world } = await federation(falseFor(OTHERS, "box"));
    const first = JSON.parse(world.transcripts.get("0001-training-1") as string) as {
      transcript: { accusations: { sender: string; payload: string }[] };
    };
    expect(first.transcript.accusations.map(({ sender }) => sender)).toEqual(OTHERS);
    for (const { payload } of first.transcript.accusations) {
      expect(JSON.parse(payload)).toEqual({ code: "SECAGG_SHARE_FALSE", about: [BAD] });
    }
  }, 20_000);
});

test("two of seven who lie to everybody are named by everybody at once, and cost one repetition together", async () => {
  const reports: RoundReport[] = [];
  const liars = ["site-0", "site-1"];
  const world: RoundWorld = new RoundWorld({
    config: { schedule: { rounds: 1, cohort: { min: 5 } } },
    trainers: ({ labels }) =>
      Object.fromEntries([0, 1, 2, 3, 4, 5, 6].map((i) => [`site-${i}`, new FakeTrainer(labels)])),
    options: { evaluationEvery: 0, failures: 1 },
    network: {
      toCoordinator: (client, message) =>
        liars.includes(client) && message.type === "step" && message.signed.step === "share-keys"
          ? { type: "step", signed: withFalseShares(message.signed, world.keyOf(client), "box") }
          : message,
    },
    observer: { round: (report) => void reports.push(report) },
  });
  worlds.push(world);
  expect(await world.run()).toMatchObject({ code: "DONE" });
  expect(reports[0]).toMatchObject({ status: "completed", attempts: 2, survivors: 5 });
  expect(reports[0]?.excluded.map(({ client, code }) => `${client} ${code}`)).toEqual(
    liars.map((name) => `${name} SECAGG_SHARE_FALSE`),
  );
}, 20_000);

describe("whom accusations leave out", () => {
  /** An attempt of `size` clients of which these left with these accusations. */
  function attempt(size: number, accusations: Readonly<Record<number, readonly number[]>>): Sum {
    const name = (i: number) => `c-${i}`;
    const all = Array.from({ length: size }, (_, i) => name(i));
    const excluded = Object.entries(accusations).map(([accuser, about]): [string, Exclusion] => [
      name(Number(accuser)),
      {
        code: "SECAGG_SHARE_FALSE",
        message: "",
        at: 1,
        lasting: false,
        accusation: { code: "SECAGG_SHARE_FALSE", about: about.map(name) as ClientName[], signed: {} as never },
      },
    ]);
    return {
      phase: "collecting-masked-inputs",
      mode: "malicious",
      advertised: Object.fromEntries(all.map((one) => [one, {}])),
      excluded: Object.fromEntries(excluded),
    } as unknown as Sum;
  }
  const out = (sum: Sum) => Object.entries(blamed(sum, 9)).map(([client, { code }]) => `${client} ${code}`);

  test("one liar who lies to two of five is the only one left out", () => {
    expect(out(attempt(5, { 1: [0], 2: [0] }))).toEqual(["c-0 SECAGG_SHARE_FALSE"]);
  });

  test("one liar who accuses two of five is the only one left out", () => {
    expect(out(attempt(5, { 0: [1, 2] }))).toEqual(["c-0 SECAGG_ACCUSES"]);
  });

  test("of one against one both sit out", () => {
    expect(out(attempt(5, { 3: [1] }))).toEqual(["c-3 SECAGG_DISPUTE", "c-1 SECAGG_DISPUTE"]);
  });

  test("liars within what is tolerated never get an honest client judged, and cost at most one of them each", () => {
    const cases = fc.integer({ min: 4, max: 13 }).chain((size) => {
      const most = size - (Math.floor((2 * size) / 3) + 1);
      return fc.record({
        size: fc.constant(size),
        liars: fc.constant(Math.max(1, most)),
        edges: fc.array(fc.tuple(fc.nat(size - 1), fc.nat(size - 1)), { maxLength: 4 * size }),
      });
    });
    fc.assert(
      fc.property(cases, ({ size, liars, edges }) => {
        const accusations: Record<number, number[]> = {};
        for (const [a, b] of edges) {
          // The first `liars` lie; honest ones accuse liars only.
          if (a === b || (a >= liars && b >= liars)) continue;
          (accusations[a] ??= []).push(b);
        }
        const sum = attempt(size, accusations);
        const gone = new Map(Object.entries(blamed(sum, 9) as Record<string, Exclusion>));
        const honest = [...gone].filter(([client]) => Number(client.slice(2)) >= liars);
        for (const [, { code, lasting }] of honest) expect([code, lasting]).toEqual(["SECAGG_DISPUTE", "round"]);
        expect(honest.length).toBeLessThanOrEqual(gone.size - honest.length);
        // Nobody who stays accuses anybody who stays: the repetition cannot fail in the same way.
        for (const [accuser, about] of Object.entries(accusations)) {
          for (const accused of about) expect(gone.has(`c-${accuser}`) || gone.has(`c-${accused}`)).toBe(true);
        }
      }),
    );
  });
});
