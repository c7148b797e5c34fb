// Part of every test file that runs against a server (vitest.config.ts): a test fails when something leaked meanwhile.
import { afterAll, afterEach, expect } from "vitest";
import { takeLeaks } from "./leaks.ts";

const check = () => expect(takeLeaks()).toEqual([]);

afterEach(check);
// For what a server says on its way out.
afterAll(check);
