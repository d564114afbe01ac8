use serde::{Deserialize, Serialize};

/// What a credential may do. A writer only sends; of the others, each may do what the one before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sends OTLP and bulk requests, and asks for rate limits; reads nothing.
    Writer,
    /// Reads.
    Viewer,
    /// Also writes silences and captures, and pulls datasets.
    Operator,
    /// Also reads the audit, and erases.
    Admin,
}

/// What a route asks of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Nothing: health, and pages without data.
    Open,
    /// A credential of any role: what holds no tenant's data.
    Credential,
    /// Role writer, and no other.
    Send,
    /// Role viewer or above.
    Read,
    /// Role viewer or above, of all tenants: what cannot be told apart by tenant.
    ReadAll,
    /// Role operator or above.
    Operate,
    /// Role admin.
    Admin,
}

impl Role {
    /// Roles by rising power.
    pub const ALL: [Self; 4] = [Self::Writer, Self::Viewer, Self::Operator, Self::Admin];

    /// As in configuration and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Writer => "writer",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let role = Self::ALL.into_iter().find(|role| role.name() == text);
        role.ok_or_else(|| format!("`{text}` is no role: use writer, viewer, operator or admin"))
    }
}

impl Access {
    /// Whether a role is enough.
    pub fn allows(self, role: Role) -> bool {
        match self {
            Self::Open | Self::Credential => true,
            Self::Send => role == Role::Writer,
            Self::Read | Self::ReadAll => role >= Role::Viewer,
            Self::Operate => role >= Role::Operator,
            Self::Admin => role == Role::Admin,
        }
    }

    /// Whether requests leave an audit record: those that read or change tenants' data.
    pub fn is_audited(self) -> bool {
        matches!(self, Self::Read | Self::Operate | Self::Admin)
    }

    /// What is wanted, for people.
    pub fn wanted(self) -> &'static str {
        match self {
            Self::Open => "nothing",
            Self::Credential => "a credential",
            Self::Send => "the role writer",
            Self::Read => "the role viewer, operator or admin",
            Self::ReadAll => "the role viewer, operator or admin, of all tenants (*)",
            Self::Operate => "the role operator or admin",
            Self::Admin => "the role admin",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_role_then_it_may_do_what_its_route_asks_for_and_no_more() {
        let table = [
            (Access::Open, [true, true, true, true]),
            (Access::Credential, [true, true, true, true]),
            (Access::Send, [true, false, false, false]),
            (Access::Read, [false, true, true, true]),
            (Access::ReadAll, [false, true, true, true]),
            (Access::Operate, [false, false, true, true]),
            (Access::Admin, [false, false, false, true]),
        ];
        for (access, right) in table {
            assert_eq!(Role::ALL.map(|role| access.allows(role)), right, "{access:?}");
        }
        assert!(Role::ALL.iter().all(|role| role.name().parse() == Ok(*role)));
        assert!("root".parse::<Role>().unwrap_err().contains("viewer"));
    }
}
