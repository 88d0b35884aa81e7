/**
 * Writes the database client (prisma/generated, not committed) from prisma/models.prisma. Called by set-up; does
 * nothing when the client is newer than the models. Needs no network: Prisma asks for its schema engine binary, which
 * generating does not use, so it is pointed at a file that exists, for this one child process only.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const target = join(root, "prisma", "generated");

const header = (output) => `datasource db {
  provider = "sqlite"
}

generator client {
  provider               = "prisma-client"
  output                 = ${JSON.stringify(output)}
  runtime                = "nodejs"
  moduleFormat           = "esm"
  generatedFileExtension = "ts"
  importFileExtension    = "ts"
}

`;

/** Generates the client if needed; resolves to true when it did. */
export async function generateDatabaseClient() {
  const models = await readFile(join(root, "prisma", "models.prisma"), "utf8");
  const { version } = JSON.parse(await readFile(join(root, "node_modules", "prisma", "package.json"), "utf8"));
  const stamp = createHash("sha256")
    .update(`${version}\n${header("")}${models}`)
    .digest("hex");
  const stampFile = join(target, "stamp.txt");
  if ((await readFile(stampFile, "utf8").catch(() => "")) === stamp) return false;

  const work = join(root, "prisma", `generated.${process.pid}.tmp`);
  try {
    await mkdir(work, { recursive: true });
    const output = join(work, "client");
    const schema = join(work, "schema.prisma");
    await writeFile(schema, header(output) + models);
    await promisify(execFile)(
      process.execPath,
      [join(root, "node_modules", "prisma", "build", "index.js"), "generate", "--schema", schema],
      {
        cwd: work,
        env: {
          ...process.env,
          PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
          PRISMA_HIDE_UPDATE_MESSAGE: "1",
          CHECKPOINT_DISABLE: "1",
        },
      },
    );
    await writeFile(join(output, "stamp.txt"), stamp);
    await rm(target, { recursive: true, force: true });
    await rename(output, target);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return true;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.stderr.write(
    (await generateDatabaseClient()) ? "database client generated\n" : "database client is current\n",
  );
}
