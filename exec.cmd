@rem The shell's `exec`, for cmd.exe: on Unix it keeps a shell out of the way of the signals that npm passes on.
@%*
