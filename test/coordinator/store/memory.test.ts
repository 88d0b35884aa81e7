import { MemoryStore } from "../../../coordinator/store/memory.ts";
import { federationStoreContract } from "./contract.ts";

federationStoreContract("the memory store", async () => {
  const store = new MemoryStore();
  return { store, reopen: null, dispose: () => store.close() };
});
