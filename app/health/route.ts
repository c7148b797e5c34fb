export const dynamic = "force-dynamic";

export { GET } from "@/app/api/health/route";
