//! Empty. The interpreter names this package on Linux even when its foreign function module is not
//! compiled in, and the real one links a library of the system.
