/**
 * Who holds shares of whom, as the clients' own share-keys steps say: on a sparse graph it is not the number of those who
 * answer that counts, but which secrets they can open together.
 */
import type { ClientName } from "../../../shared/ids.ts";
import type { ShareKeys } from "../../../shared/secagg/messages.ts";
import type { ByClient, CheckingConsistency, Unmasking } from "../state.ts";
import type { SignedStep } from "../../../shared/secagg/signed.ts";
import { graphOf, names } from "./phase.ts";

/** Those who shared, by number, and the numbers of each one's holders; numbers, because every event asks again. */
interface Holding {
  readonly owners: readonly ClientName[];
  readonly numbers: ReadonlyMap<ClientName, number>;
  readonly holders: readonly Int32Array[];
}

const known = new WeakMap<ByClient<SignedStep>, Holding>();

/** The record of those who shared stays the same from the end of that phase on: it is read once. */
function holdingOf(shared: ByClient<SignedStep>): Holding {
  const before = known.get(shared);
  if (before !== undefined) return before;
  const owners = names(shared);
  const numbers = new Map(owners.map((owner, number) => [owner, number]));
  const holders = owners.map((owner) => {
    // Admitted before it was recorded: it has this form.
    const { shares } = JSON.parse((shared[owner] as SignedStep).payload) as ShareKeys;
    return Int32Array.from(shares.flatMap(({ to }) => numbers.get(to) ?? []));
  });
  const holding = { owners, numbers, holders };
  known.set(shared, holding);
  return holding;
}

/**
 * Can these clients' shares open what has to be opened: b of every survivor, s of every other who shared?
 * @param signers where given, a client reveals only what t of its own holders among them have signed for
 */
export function opensEverything(
  sum: CheckingConsistency | Unmasking,
  clients: readonly ClientName[],
  signers?: readonly ClientName[],
): boolean {
  const graph = graphOf(sum, names(sum.advertised).length);
  if (graph === null || graph.complete) return true;
  const holding = holdingOf(sum.shared);
  const { owners, numbers, holders } = holding;
  const reveal = marked(holding, clients);
  if (signers !== undefined) {
    const signed = marked(holding, signers);
    for (const client of clients) {
      const number = numbers.get(client) as number;
      reveal[number] = count(holders[number] as Int32Array, signed) >= graph.limits.selfMask ? 1 : 0;
    }
  }
  return owners.every((owner, number) => {
    const needed = sum.inputs[owner] === undefined ? graph.limits.maskKey : graph.limits.selfMask;
    return count(holders[number] as Int32Array, reveal) >= needed;
  });
}

function marked({ owners, numbers }: Holding, clients: readonly ClientName[]): Uint8Array {
  const marks = new Uint8Array(owners.length);
  for (const client of clients) marks[numbers.get(client) as number] = 1;
  return marks;
}

function count(holders: Int32Array, marks: Uint8Array): number {
  let found = 0;
  for (const holder of holders) found += marks[holder] as number;
  return found;
}
