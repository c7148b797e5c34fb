// Copied into the folder of the installed clients: imports from here resolve there and are Node's own, so the test runner
// transforms nothing.
module.exports = (name) => import(name);
