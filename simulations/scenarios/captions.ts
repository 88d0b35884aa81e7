/** Sentences about a generated room. Some name the kind of room, some only what is in it, some are of little help. */
import type { Rng } from "../../shared/rng/rng.ts";
import type { RoomPlan } from "./room-plan.ts";

const PLURALS: Readonly<Record<string, string>> = { person: "people" };
const COUNTS = ["no", "one", "two", "three", "four", "five", "six"];
const ROOM_WORDS: Readonly<Record<RoomPlan["scene"], readonly string[]>> = {
  office: ["an office", "a workplace", "an office room"],
  ward: ["a ward", "a hospital room", "a patient room"],
  corridor: ["a corridor", "a hallway", "a long passage"],
  lobby: ["a lobby", "an entrance hall", "a waiting hall"],
  street: ["a street", "a road in town", "a street in the open"],
};

/**
 * One or two captions from the names of the things that can be seen.
 *
 * @param named each says what kind of room it is; else some do
 */
export function captionsFor(rng: Rng, plan: RoomPlan, visible: readonly string[], named = false): string[] {
  const counts = new Map<string, number>();
  for (const name of visible) counts.set(name, (counts.get(name) ?? 0) + 1);
  const listed = rng.shuffled([...counts]).map(([name, count]) => phrase(name, count));
  const list = listed.length === 0 ? "nothing in it" : joined(listed);
  const words = ROOM_WORDS[plan.scene];
  const room = words[rng.below(words.length)] as string;
  const light = plan.dim ? "dim " : "";
  const kind = plan.scene === "street" ? "place" : "room";
  const people = counts.get("person") ?? 0;
  const naming: readonly (() => string)[] = [
    () => `A ${light}picture of ${room} with ${list}.`,
    () => `${capital(room)} with ${list}.`,
    () => (people === 0 ? `Nobody is in ${room}.` : `${capital(phrase("person", people))} in ${room}.`),
  ];
  const [first, second, third] = naming as [() => string, () => string, () => string];
  const sentences: readonly (() => string)[] = named
    ? naming
    : [first, second, () => `A ${light}${kind} with ${list}.`, third, () => `This ${light}${kind} shows ${list}.`];
  const chosen = rng.shuffled(sentences).slice(0, 1 + rng.below(2));
  return chosen.map((sentence) => sentence());
}

function phrase(name: string, count: number): string {
  if (count === 1) return `${/^[aeiou]/.test(name) ? "an" : "a"} ${name}`;
  return `${COUNTS[count] ?? "many"} ${PLURALS[name] ?? `${name}s`}`;
}

function joined(parts: readonly string[]): string {
  if (parts.length === 1) return parts[0] as string;
  return `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
