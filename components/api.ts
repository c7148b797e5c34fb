import { createApi } from "@/packages/client/src/api";

/** The server that delivered this page. */
export const api = createApi();
