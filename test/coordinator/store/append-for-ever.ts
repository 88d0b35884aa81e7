/** Child process of the kill test: appends numbered events and prints each number once it is acknowledged. */
import { openPrismaStore } from "../../../coordinator/store/prisma.ts";

const store = await openPrismaStore(process.argv[2] ?? "");
for (let i = 0; ; i++) {
  const appended = store.append([String(i)]);
  // A snapshot now and then, so that the kill can fall between its two statements.
  if (i % 10 === 9) await store.snapshot(String(i));
  await appended;
  process.stdout.write(`${i}\n`);
}
