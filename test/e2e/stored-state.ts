/** What a stopped coordinator's store says of its federation. */
import type { DurableEvent, FederationState } from "../../coordinator/round/state.ts";

type Kept = Pick<FederationState, "serverStates">;

/** The last snapshot, brought up to date where the coordinator stopped before the one that follows a round. */
export function storedState(recovered: { readonly snapshot: string | null; readonly events: readonly string[] }): {
  readonly state: Kept;
  readonly events: readonly DurableEvent[];
} {
  const events = recovered.events.map((line) => (JSON.parse(line) as { event: DurableEvent }).event);
  let { state } = JSON.parse(recovered.snapshot as string) as { state: Kept };
  for (const event of events) {
    if (event.type !== "committed") continue;
    state = { serverStates: [event.serverState, ...state.serverStates].slice(0, 2) };
  }
  return { state, events };
}
