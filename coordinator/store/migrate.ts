/**
 * Brings a database to the newest schema: SQL files under prisma/migrations, in order, one transaction each, with
 * Prisma's own bookkeeping table, so that Prisma's tools find nothing left to do.
 */
import { createHash, randomUUID } from "node:crypto";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CodedError } from "../../shared/errors.ts";

/** The two things a runner needs; an SQL script runs on one connection. */
export interface MigrationDatabase {
  rows(sql: string): Promise<readonly Readonly<Record<string, unknown>>[]>;
  script(sql: string): Promise<void>;
}

const BOOKKEEPING = `CREATE TABLE IF NOT EXISTS "_prisma_migrations" (
    "id"                    TEXT PRIMARY KEY NOT NULL,
    "checksum"              TEXT NOT NULL,
    "finished_at"           DATETIME,
    "migration_name"        TEXT NOT NULL,
    "logs"                  TEXT,
    "rolled_back_at"        DATETIME,
    "started_at"            DATETIME NOT NULL DEFAULT current_timestamp,
    "applied_steps_count"   INTEGER UNSIGNED NOT NULL DEFAULT 0
);`;

/** prisma/migrations of this package, run from the sources or from dist/. */
export async function migrationsFolder(): Promise<string> {
  for (const up of ["../../prisma/migrations", "../../../prisma/migrations"]) {
    const folder = fileURLToPath(new URL(up, import.meta.url));
    const entries = await readdir(folder).catch(() => []);
    if (entries.length > 0) return folder;
  }
  throw new CodedError("STORE_MIGRATION", "prisma/migrations is missing from this installation");
}

/**
 * Applies what is missing and resolves to the names applied. Throws STORE_MIGRATION when the database was made by a
 * newer version or an applied file was changed afterwards; nothing is applied then.
 */
export async function migrate(database: MigrationDatabase, folder: string): Promise<string[]> {
  await database.script(BOOKKEEPING);
  const applied = new Map(
    (
      await database.rows(
        `SELECT migration_name, checksum FROM "_prisma_migrations" WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL`,
      )
    ).map((row) => [String(row["migration_name"]), String(row["checksum"])]),
  );
  const names = (await readdir(folder, { withFileTypes: true }))
    .filter((entry) => entry.isDirectory() && /^\d{14}_[a-z0-9_]+$/.test(entry.name))
    .map((entry) => entry.name)
    .toSorted();
  for (const name of applied.keys()) {
    if (!names.includes(name)) {
      throw new CodedError("STORE_MIGRATION", `the database has migration ${name}, which this version does not know`, {
        migration: name,
      });
    }
  }
  const missing: { name: string; sql: string; checksum: string }[] = [];
  for (const name of names) {
    const sql = await readFile(join(folder, name, "migration.sql"), "utf8");
    const checksum = createHash("sha256").update(sql).digest("hex");
    const known = applied.get(name);
    if (known === undefined) missing.push({ name, sql, checksum });
    else if (known !== checksum) {
      throw new CodedError("STORE_MIGRATION", `migration ${name} was changed after it had been applied`, {
        migration: name,
        expected: known,
        got: checksum,
      });
    }
  }
  for (const { name, sql, checksum } of missing) {
    const now = Date.now();
    await database.script(`BEGIN IMMEDIATE;
${sql}
INSERT INTO "_prisma_migrations" ("id", "checksum", "migration_name", "started_at", "finished_at", "applied_steps_count")
VALUES ('${randomUUID()}', '${checksum}', '${name}', ${now}, ${now}, 1);
COMMIT;`);
  }
  return missing.map((migration) => migration.name);
}
