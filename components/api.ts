import { createApi } from "@/lib/client/api";

/** The server that delivered this page. */
export const api = createApi();
