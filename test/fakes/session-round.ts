/** One attempt with the sites of a {@link SessionWorld}, by the book, as far as the test wants it to go. */
import {
  admitAdvertisement,
  admitConsistency,
  admitMaskedInput,
  admitShareKeys,
  admitUnmask,
} from "../../coordinator/aggregate/admit.ts";
import type { AdmittedShares } from "../../coordinator/aggregate/admitted-shares.ts";
import { announcement } from "../../coordinator/aggregate/announce.ts";
import { memorySource, secureSum } from "../../coordinator/aggregate/secure-sum.ts";
import { thresholds } from "../../shared/secagg/thresholds.ts";
import { remainingMasks } from "../../coordinator/aggregate/unmask.ts";
import type { ClientName, Sha256 } from "../../shared/ids.ts";
import type { Words } from "../../shared/secagg/mask.ts";
import type { Roster, Shares, Signatures, Survivors } from "../../shared/secagg/messages.ts";
import { consistencyDigest, openRoster, type Members } from "../../shared/secagg/roster.ts";
import type { Session } from "../../shared/secagg/session.ts";
import { NOW } from "./secagg.ts";
import type { SessionWorld, Site } from "./session-world.ts";

export class ByTheBook {
  readonly world: SessionWorld;
  readonly session: Session;
  readonly words: number;
  readonly shared = new Map<ClientName, AdmittedShares>();
  roster: Roster | null = null;
  members: Members | null = null;

  constructor(world: SessionWorld, session: Session, words: number) {
    this.world = world;
    this.session = session;
    this.words = words;
  }

  /** Invites; gives the roster of everybody who advertised. */
  async advertise(sites: readonly Site[]): Promise<Roster> {
    const { crypto, trust } = this.world.fed;
    for (const { line } of sites) line.say(this.world.begin(this.session));
    const given = await Promise.all(sites.map(({ line }) => line.step("advertise-keys", this.session.sid)));
    this.roster = announcement.roster(given.map((m) => admitAdvertisement(crypto, trust, this.session, m, NOW)));
    this.members = openRoster(crypto, trust, this.session, this.roster.entries, NOW);
    return this.roster;
  }

  /** Sends the roster; gives each client's shares, by client. */
  async share(sites: readonly Site[]): Promise<Map<ClientName, Shares>> {
    const { crypto } = this.world.fed;
    const roster = this.roster as Roster;
    for (const { line } of sites) line.say(this.world.announce(this.session, "roster", roster));
    for (const { line, client } of sites) {
      const message = await line.step("share-keys", this.session.sid);
      this.shared.set(client.name, admitShareKeys(crypto, this.session, this.members as Members, message));
    }
    return new Map(
      sites.map(({ client: { name } }) => {
        const others = [...this.shared].filter(([from]) => from !== name);
        const statements = others.map(([, admitted]) => admitted.statementFor(name));
        return [name, announcement.shares(statements.map((statement) => statement as NonNullable<typeof statement>))];
      }),
    );
  }

  /** Sends the shares; gives the survivor list of those whose masked input came. */
  async mask(sites: readonly Site[], shares: ReadonlyMap<ClientName, Shares>): Promise<Survivors> {
    const { crypto } = this.world.fed;
    for (const { line, client } of sites) {
      const own = shares.get(client.name) as Shares;
      line.say(this.world.announce(this.session, "shares", own, client.name));
    }
    const inputs = [];
    for (const { line } of sites) {
      const message = await line.step("masked-input", this.session.sid);
      inputs.push(admitMaskedInput(crypto, this.session, this.members as Members, this.words, message));
    }
    return announcement.survivors(
      inputs.map(({ statement }) => statement),
      [...this.shared.keys()].toSorted(),
    );
  }

  async confirm(sites: readonly Site[], list: Survivors): Promise<Signatures> {
    const { crypto } = this.world.fed;
    const members = this.members as Members;
    for (const { line } of sites) line.say(this.world.announce(this.session, "survivors", list));
    const hashes = list.survivors.map(({ sender, payload }) => ({
      name: sender,
      hash: (JSON.parse(payload) as { hash: Sha256 }).hash,
    }));
    const digest = consistencyDigest(crypto, this.session, members, [...this.shared.keys()].toSorted(), hashes);
    const signatures = [];
    for (const { line } of sites) {
      const message = await line.step("consistency", this.session.sid);
      signatures.push(admitConsistency(crypto, this.session, members, digest, message));
    }
    return announcement.signatures(signatures);
  }

  /** Asks for the shares and adds everything up. */
  async unmask(sites: readonly Site[], list: Survivors, signatures: Signatures): Promise<Words> {
    const { crypto } = this.world.fed;
    const members = this.members as Members;
    const { mode, wordBits } = this.world.config.secureAggregation;
    if (mode === "off") throw new Error("nothing to unmask");
    const names = { survivors: list.survivors.map(({ sender }) => sender), dropouts: list.dropouts };
    for (const { line } of sites) line.say(this.world.announce(this.session, "signatures", signatures));
    const revealed = [];
    for (const { line } of sites) {
      const message = await line.step("unmask", this.session.sid);
      revealed.push(admitUnmask(crypto, this.session, members, names, this.shared, message));
    }
    const limits = thresholds(members.list.length, mode);
    const masks = await remainingMasks(crypto, this.session, members, { limits, shared: this.shared }, names, revealed);
    const vectors = list.survivors.map(({ sender, payload }) => {
      const { hash } = JSON.parse(payload) as { hash: string };
      const line = this.world.sites.find(({ client }) => client.name === sender)?.line;
      const bytes = line?.uploads.get(hash) as Uint8Array;
      return memorySource(new Uint32Array(bytes.slice().buffer));
    });
    return secureSum(crypto, { wordBits, words: this.words }, vectors, masks);
  }

  /** From the invitation to the sum; `lost` send keys and shares, but no masked input. */
  async sum(sites: readonly Site[], lost: readonly Site[] = []): Promise<Words> {
    await this.advertise([...sites, ...lost]);
    const shares = await this.share([...sites, ...lost]);
    const list = await this.mask(sites, shares);
    return this.unmask(sites, list, await this.confirm(sites, list));
  }
}
