// Setup of every test file that runs against a server (vitest.config.ts): fails a test if something
// leaked during it.
import { afterAll, afterEach, expect } from "vitest";
import { takeLeaks } from "./leaks.ts";

const check = () => expect(takeLeaks()).toEqual([]);

afterEach(check);
// For output during shutdown.
afterAll(check);
