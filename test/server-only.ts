// An empty `server-only` for use outside Next. The real package throws wherever the condition
// "react-server" is not set.
export {};
