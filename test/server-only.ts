// What `server-only` is outside Next: nothing. The real package throws wherever the condition "react-server" is not set.
export {};
