/**
 * The federation's state in SQLite (libsql) through Prisma: one file, write-ahead log, synchronous FULL. A promise
 * resolves only after the commit is on disk. The only module that imports Prisma.
 */
import { mkdir } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { PrismaLibSql } from "@prisma/adapter-libsql";
import { PrismaClient } from "../../prisma/generated/client.ts";
import type { Client as ClientRow } from "../../prisma/generated/client.ts";
import { CodedError } from "../../shared/errors.ts";
import { clientName, sha256Hex } from "../../shared/ids.ts";
import type { ClientName, Sha256 } from "../../shared/ids.ts";
import type { EnrolledClient, FederationStore, Invitation, RoundRecord, VersionRecord } from "./port.ts";
import { migrate, migrationsFolder } from "./migrate.ts";
import { keepOneConnection } from "./one-connection.ts";

/** How long a statement waits while another process (an operator's command) writes. */
const BUSY_TIMEOUT_MS = 5_000;
/** Rows of one INSERT: far below SQLite's limit of bound parameters. */
const ROWS_A_STATEMENT = 500;
/** Characters of one INSERT: on its way to the database its text is copied several times. */
const TEXT_A_STATEMENT = 2 << 20;

/** Opens (and creates or migrates) the database file. */
export function openPrismaStore(file: string): Promise<FederationStore> {
  return guarded(async () => {
    const path = resolve(file);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const adapter = new OneConnectionLibSql({ url: pathToFileURL(path).href, timeout: BUSY_TIMEOUT_MS });
    const raw = await adapter.connect();
    try {
      await raw.executeScript("PRAGMA journal_mode=WAL;");
      await migrate(
        {
          async rows(sql) {
            const result = await raw.queryRaw({ sql, args: [], argTypes: [] });
            return result.rows.map((row) => Object.fromEntries(result.columnNames.map((name, i) => [name, row[i]])));
          },
          script: (sql) => raw.executeScript(sql),
        },
        await migrationsFolder(),
      );
    } finally {
      await raw.dispose();
    }
    const prisma = new PrismaClient({ adapter });
    await prisma.$connect();
    return new PrismaStore(prisma);
  });
}

class OneConnectionLibSql extends PrismaLibSql {
  override createClient(config: Parameters<PrismaLibSql["createClient"]>[0]): ReturnType<PrismaLibSql["createClient"]> {
    const client = super.createClient(config);
    keepOneConnection(client as Parameters<typeof keepOneConnection>[0]);
    return client;
  }
}

interface Batch {
  readonly events: string[];
  readonly done: Promise<void>;
}

class PrismaStore implements FederationStore {
  readonly #prisma: PrismaClient;
  /** Tail of the event log's write queue. */
  #writing: Promise<void> = Promise.resolve();
  /** The batch that waits for its turn: appends that arrive while a commit is under way share the next one. */
  #open: Batch | null = null;

  constructor(prisma: PrismaClient) {
    this.#prisma = prisma;
  }

  append(events: readonly string[]): Promise<void> {
    if (events.length === 0) return Promise.resolve();
    if (this.#open === null) {
      const rows: string[] = [];
      const done = this.#inOrder(() => {
        if (this.#open?.events === rows) this.#open = null;
        return this.#insert(rows);
      });
      this.#open = { events: rows, done };
    }
    this.#open.events.push(...events);
    return this.#open.done;
  }

  async #insert(rows: readonly string[]): Promise<void> {
    const inserts = [];
    for (let from = 0, to = 0; from < rows.length; from = to) {
      let text = 0;
      do text += rows[to++]?.length ?? 0;
      while (to < rows.length && to - from < ROWS_A_STATEMENT && text + (rows[to]?.length ?? 0) <= TEXT_A_STATEMENT);
      const data = rows.slice(from, to).map((event) => ({ event }));
      inserts.push(this.#prisma.event.createMany({ data }));
    }
    if (inserts.length === 1) await inserts[0];
    else await this.#prisma.$transaction(inserts);
  }

  /** Runs after everything queued before it, and closes the open batch, so that later appends come after it. */
  #inOrder<T>(task: () => Promise<T>): Promise<T> {
    this.#open = null;
    const result = this.#writing.then(() => guarded(task));
    this.#writing = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }

  recover(): Promise<{ snapshot: string | null; events: string[] }> {
    return this.#inOrder(async () => {
      const snapshot = await this.#prisma.snapshot.findUnique({ where: { id: 1 } });
      const events = await this.#prisma.event.findMany({
        where: { seq: { gt: snapshot?.seq ?? 0 } },
        orderBy: { seq: "asc" },
      });
      return { snapshot: snapshot?.state ?? null, events: events.map((row) => row.event) };
    });
  }

  snapshot(state: string): Promise<void> {
    return this.#inOrder(async () => {
      const previous = await this.#prisma.snapshot.findUnique({ where: { id: 1 }, select: { seq: true } });
      const newest = await this.#prisma.event.findFirst({ orderBy: { seq: "desc" }, select: { seq: true } });
      const seq = Math.max(newest?.seq ?? 0, previous?.seq ?? 0);
      await this.#prisma.$transaction([
        this.#prisma.snapshot.upsert({
          where: { id: 1 },
          create: { id: 1, seq, state },
          update: { seq, state },
        }),
        this.#prisma.event.deleteMany({ where: { seq: { lte: seq } } }),
      ]);
    });
  }

  clients(): Promise<EnrolledClient[]> {
    return guarded(async () => (await this.#prisma.client.findMany({ orderBy: { name: "asc" } })).map(toClient));
  }

  putClient(client: EnrolledClient): Promise<void> {
    return guarded(async () => {
      const row = fromClient(client);
      await this.#prisma.client.upsert({ where: { name: row.name }, create: row, update: row });
    });
  }

  putInvitation(invitation: Invitation): Promise<void> {
    return guarded(async () => {
      const row = {
        tokenHash: invitation.tokenHash as string,
        name: invitation.name as string,
        expiresAt: BigInt(Math.round(invitation.expiresAt)),
        usedAt: invitation.usedAt === null ? null : BigInt(Math.round(invitation.usedAt)),
      };
      await this.#prisma.invitation.upsert({ where: { tokenHash: row.tokenHash }, create: row, update: row });
    });
  }

  redeem(tokenHash: Sha256, now: number, client: EnrolledClient): Promise<void> {
    return guarded(() =>
      this.#prisma.$transaction(async (tx) => {
        // The write comes first: two processes that redeem at once wait for each other instead of both reading.
        const marked = await tx.invitation.updateMany({
          where: { tokenHash, name: client.name, usedAt: null, expiresAt: { gt: BigInt(Math.round(now)) } },
          data: { usedAt: BigInt(Math.round(now)) },
        });
        if (marked.count !== 1) {
          const invitation = await tx.invitation.findUnique({ where: { tokenHash } });
          if (invitation === null || invitation.name !== client.name) {
            throw new CodedError("TOKEN_INVALID", "no such invitation for this name", { client: client.name });
          }
          if (invitation.usedAt !== null) {
            throw new CodedError("TOKEN_USED", `the invitation for ${client.name} was used`, { client: client.name });
          }
          throw new CodedError("TOKEN_EXPIRED", `the invitation for ${client.name} has expired`, {
            client: client.name,
          });
        }
        // Whoever holds an older invitation of this name must not take its place.
        await tx.invitation.updateMany({
          where: { name: client.name, usedAt: null },
          data: { usedAt: BigInt(Math.round(now)) },
        });
        const row = fromClient(client);
        await tx.client.upsert({ where: { name: row.name }, create: row, update: row });
      }),
    );
  }

  putRound(record: RoundRecord): Promise<void> {
    return guarded(async () => {
      const { round, report } = record;
      await this.#prisma.round.upsert({ where: { round }, create: { round, report }, update: { report } });
    });
  }

  rounds(): Promise<RoundRecord[]> {
    return guarded(() => this.#prisma.round.findMany({ orderBy: { round: "asc" } }));
  }

  putVersion(record: VersionRecord): Promise<void> {
    return guarded(async () => {
      const { version, link } = record;
      const manifest = record.manifest === null ? null : new Uint8Array(record.manifest);
      await this.#prisma.version.upsert({
        where: { version },
        create: { version, link, manifest },
        update: { link, manifest },
      });
    });
  }

  versions(): Promise<VersionRecord[]> {
    return guarded(async () =>
      (await this.#prisma.version.findMany({ orderBy: { version: "asc" } })).map((row) => ({
        ...row,
        manifest: row.manifest === null ? null : new Uint8Array(row.manifest),
      })),
    );
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#prisma.$disconnect();
  }
}

function toClient(row: ClientRow): EnrolledClient {
  return {
    name: clientName.parse(row.name),
    signingKey: sha256Hex.parse(row.signingKey),
    certificate: row.certificate,
    enrolledAt: Number(row.enrolledAt),
    revoked: row.revoked,
  };
}

function fromClient(client: EnrolledClient): ClientRow {
  const name: ClientName = client.name;
  return {
    name,
    signingKey: client.signingKey,
    certificate: client.certificate,
    enrolledAt: BigInt(Math.round(client.enrolledAt)),
    revoked: client.revoked,
  };
}

async function guarded<T>(task: () => Promise<T>): Promise<T> {
  try {
    return await task();
  } catch (error) {
    throw storageError(error);
  }
}

/** SQLite's "database or disk is full" and "malformed" in our words; everything else as it is. */
function storageError(error: unknown): unknown {
  const text = error instanceof Error ? `${error.message} ${JSON.stringify(error.cause ?? "")}` : "";
  if (/database or disk is full|SQLITE_FULL|ENOSPC/.test(text)) {
    return new CodedError("STORE_FULL", "the disk of the data folder is full", {}, { cause: error });
  }
  if (/disk image is malformed|SQLITE_CORRUPT|file is not a database/.test(text)) {
    return new CodedError("STORE_CORRUPT", "the database file is damaged", {}, { cause: error });
  }
  return error;
}
