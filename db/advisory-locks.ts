// Keys of Postgres advisory locks. Arbitrary, but distinct, and the same in every version of Rivulet:
// versions run side by side during a deploy.
export const advisoryLocks = {
  migrations: 7_305_182_441,
  signUp: 7_305_182_442,
  samples: 7_305_182_443,
  indexes: 7_305_182_444,
};
