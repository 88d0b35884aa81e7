import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { PrismaLibSql } from "@prisma/adapter-libsql";
import { migrate, migrationsFolder, type MigrationDatabase } from "../../../coordinator/store/migrate.ts";

let dir: string;
let folder: string;
let database: MigrationDatabase & { close(): Promise<void> };

async function open(file: string): Promise<typeof database> {
  const raw = await new PrismaLibSql({ url: `file:${file}` }).connect();
  return {
    async rows(sql) {
      const { rows, columnNames } = await raw.queryRaw({ sql, args: [], argTypes: [] });
      return rows.map((row) => Object.fromEntries(columnNames.map((name, i) => [name, row[i]])));
    },
    script: (sql) => raw.executeScript(sql),
    close: () => raw.dispose(),
  };
}

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "allulook-migrate-"));
  folder = join(dir, "migrations");
  await cp(await migrationsFolder(), folder, { recursive: true });
  database = await open(join(dir, "a.db"));
});
afterEach(async () => {
  await database.close();
  await rm(dir, { recursive: true, force: true });
});

const add = async (name: string, sql: string) => {
  await mkdir(join(folder, name));
  await writeFile(join(folder, name, "migration.sql"), sql);
};
const tables = async () =>
  (await database.rows("SELECT name FROM sqlite_master WHERE type = 'table'")).map((row) => String(row["name"]));

describe("migrations", () => {
  test("are applied once, in order, and noted with their hash", async () => {
    expect(await migrate(database, folder)).toEqual(["20261121000000_initial"]);
    expect(await migrate(database, folder)).toEqual([]);
    await add("20300101000000_second", 'ALTER TABLE "Round" ADD COLUMN "note" TEXT;');
    await add("20290101000000_first", 'CREATE TABLE "Extra" ("id" INTEGER PRIMARY KEY);');
    expect(await migrate(database, folder)).toEqual(["20290101000000_first", "20300101000000_second"]);
    const noted = await database.rows('SELECT * FROM "_prisma_migrations" ORDER BY migration_name');
    expect(noted).toHaveLength(3);
    expect(noted[0]).toMatchObject({ applied_steps_count: 1, rolled_back_at: null });
  });

  test("one that fails leaves nothing of itself", async () => {
    await migrate(database, folder);
    await add(
      "20290101000000_broken",
      'CREATE TABLE "Half" ("id" INTEGER PRIMARY KEY);\nCREATE TABLE "Half" ("x" TEXT);',
    );
    await expect(migrate(database, folder)).rejects.toThrow();
    expect(await tables()).not.toContain("Half");
    await rm(join(folder, "20290101000000_broken"), { recursive: true });
    expect(await migrate(database, folder)).toEqual([]);
  });

  test("a database from a newer version, and a file changed after it was applied, are refused", async () => {
    await add("20290101000000_newer", 'CREATE TABLE "Extra" ("id" INTEGER PRIMARY KEY);');
    await migrate(database, folder);
    await expect(migrate(database, await migrationsFolder())).rejects.toMatchObject({ code: "STORE_MIGRATION" });
    const file = join(folder, "20290101000000_newer", "migration.sql");
    await writeFile(file, `${await readFile(file, "utf8")}\n-- changed`);
    await expect(migrate(database, folder)).rejects.toMatchObject({ code: "STORE_MIGRATION" });
  });

  test("the tables are those of models.prisma", async () => {
    await migrate(database, folder);
    const models = await readFile(join(await migrationsFolder(), "..", "models.prisma"), "utf8");
    for (const [, name, body] of models.matchAll(/^model (\w+) \{\n([\s\S]*?)^\}/gm)) {
      const columns = (await database.rows(`PRAGMA table_info("${name}")`)).map((row) => [
        row["name"],
        row["notnull"] === 1,
      ]);
      const fields = [...(body as string).matchAll(/^ {2}(\w+)\s+(\w+)(\??)/gm)].map(([, field, , optional]) => [
        field,
        optional === "",
      ]);
      expect([name, columns]).toEqual([name, fields]);
    }
  });
});
