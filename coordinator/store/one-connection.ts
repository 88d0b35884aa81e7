/**
 * libsql gives every transaction a connection of its own and leaves it to the garbage collector, which runs a long-lived
 * coordinator out of file descriptors. Prisma's adapter lets nothing else run while a transaction is open, so BEGIN and
 * COMMIT on the one connection mean the same.
 */

/** The parts of libsql's client and transaction that Prisma's adapter calls. */
interface LibSqlClient<S, R> {
  execute(statement: S | string): Promise<R>;
  transaction(mode?: string): Promise<unknown>;
}

/** Makes the client's transactions run on its own connection. */
export function keepOneConnection<S, R>(client: LibSqlClient<S, R>): void {
  client.transaction = async () => {
    // IMMEDIATE: what reads first and then writes must not lose its turn to another process in between.
    await client.execute("BEGIN IMMEDIATE");
    return {
      execute: (statement: S) => client.execute(statement),
      commit: async () => {
        try {
          await client.execute("COMMIT");
        } catch (error) {
          // A full disk may have ended the transaction already; the connection must be out of it either way.
          await client.execute("ROLLBACK").catch(() => undefined);
          throw error;
        }
      },
      rollback: () => client.execute("ROLLBACK"),
    };
  };
}
