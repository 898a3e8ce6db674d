//! The procedures of NFSv3 by number.

/// What is known of a procedure without its arguments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Procedure {
    pub(crate) name: &'static str,
    /// How many optional attributes a failed reply has after its status (RFC 1813 has them in every one but GETATTR's): all absent, each is a zero.
    pub(crate) absent_on_failure: usize,
    /// Whether doing it twice is not doing it once.
    pub(crate) once: bool,
}

const fn procedure(name: &'static str, absent_on_failure: usize, once: bool) -> Procedure {
    Procedure {
        name,
        absent_on_failure,
        once,
    }
}

/// All of NFSv3, in the order of their numbers.
pub(crate) const PROCEDURES: [Procedure; 22] = [
    procedure("NULL", 0, false),
    procedure("GETATTR", 0, false),
    procedure("SETATTR", 2, true),
    procedure("LOOKUP", 1, false),
    procedure("ACCESS", 1, false),
    procedure("READLINK", 1, false),
    procedure("READ", 1, false),
    procedure("WRITE", 2, true),
    procedure("CREATE", 2, true),
    procedure("MKDIR", 2, true),
    procedure("SYMLINK", 2, true),
    procedure("MKNOD", 2, false),
    procedure("REMOVE", 2, true),
    procedure("RMDIR", 2, true),
    procedure("RENAME", 4, true),
    procedure("LINK", 3, false),
    procedure("READDIR", 1, false),
    procedure("READDIRPLUS", 1, false),
    procedure("FSSTAT", 1, false),
    procedure("FSINFO", 1, false),
    procedure("PATHCONF", 1, false),
    procedure("COMMIT", 2, true),
];

/// The procedure with this number.
pub(crate) fn by_number(number: u32) -> Option<&'static Procedure> {
    PROCEDURES.get(usize::try_from(number).ok()?)
}
