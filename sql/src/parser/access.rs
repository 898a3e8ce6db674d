//! Users, roles and rights.

use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::access::{Access, Password, Privilege, Securable};
use crate::cursor::{Cursor, Parse};
use crate::names::{key, normalised};
use crate::statement::Statement;

/// `CREATE`, `ALTER` and `DROP` of users and roles; none where something else is made, changed or dropped.
pub(crate) fn principal(cursor: &mut Cursor) -> Parse<Option<Statement>> {
    let access = if cursor.take("CREATE USER") {
        let if_not_exists = cursor.take("IF NOT EXISTS");
        Access::CreateUser {
            name: name(cursor, "a user's name")?,
            if_not_exists,
            password: password(cursor)?,
        }
    } else if cursor.take("ALTER USER") {
        Access::AlterUser {
            name: name(cursor, "a user's name")?,
            password: password(cursor)?,
        }
    } else if cursor.take("DROP USER") {
        let if_exists = cursor.take("IF EXISTS");
        Access::DropUser {
            name: name(cursor, "a user's name")?,
            if_exists,
        }
    } else if cursor.take("CREATE ROLE") {
        let if_not_exists = cursor.take("IF NOT EXISTS");
        Access::CreateRole {
            name: name(cursor, "a role's name")?,
            if_not_exists,
        }
    } else if cursor.take("DROP ROLE") {
        let if_exists = cursor.take("IF EXISTS");
        Access::DropRole {
            name: name(cursor, "a role's name")?,
            if_exists,
        }
    } else {
        return Ok(None);
    };
    Ok(Some(Statement::Access(access)))
}

/// `GRANT` and `REVOKE`, of rights and of roles.
pub(crate) fn grant(cursor: &mut Cursor) -> Parse<Statement> {
    let grants = cursor.take("GRANT");
    if !grants {
        cursor.expect("REVOKE")?;
    }
    let direction = if grants { "TO" } else { "FROM" };
    if cursor.is_name_at(0) && cursor.is_word_at(1, direction) {
        let role = name(cursor, "a role's name")?;
        let user = grantee(cursor, direction)?;
        return Ok(Statement::Access(if grants {
            Access::GrantRole { role, to: user }
        } else {
            Access::RevokeRole { role, from: user }
        }));
    }
    let given = cursor.list(privileges)?.concat();
    let privileges = Privilege::ALL.into_iter().filter(|one| given.contains(one)).collect();
    cursor.expect("ON")?;
    let on = if cursor.is_word_at(0, "LAKE") && cursor.is_word_at(1, direction) {
        cursor.skip();
        Securable::Lake
    } else if cursor.is_word_at(0, "SCHEMA") && cursor.is_name_at(1) && !cursor.is_word_at(1, direction) {
        cursor.skip();
        Securable::Schema(name(cursor, "a schema's name")?)
    } else {
        if cursor.is_word_at(0, "TABLE") && !cursor.is_word_at(1, direction) {
            cursor.skip();
        }
        Securable::Table(cursor.table()?)
    };
    let who = grantee(cursor, direction)?;
    Ok(Statement::Access(if grants {
        Access::Grant {
            privileges,
            on,
            to: who,
        }
    } else {
        Access::Revoke {
            privileges,
            on,
            from: who,
        }
    }))
}

/// `SHOW GRANTS`, `SHOW USERS` and `SHOW ROLES`; none where something else is shown.
pub(crate) fn show(cursor: &mut Cursor) -> Parse<Option<Statement>> {
    let access = if cursor.take("SHOW GRANTS") {
        let of = if cursor.take("FOR") {
            Some(name(cursor, "a user's or role's name")?)
        } else {
            None
        };
        Access::ShowGrants { of }
    } else if cursor.take("SHOW USERS") {
        Access::ShowUsers
    } else if cursor.take("SHOW ROLES") {
        Access::ShowRoles
    } else {
        return Ok(None);
    };
    Ok(Some(Statement::Access(access)))
}

fn privileges(cursor: &mut Cursor) -> Parse<Vec<Privilege>> {
    if cursor.take("ALL") {
        cursor.take("PRIVILEGES");
        return Ok(Privilege::ALL.to_vec());
    }
    let found = Privilege::ALL
        .into_iter()
        .find(|privilege| cursor.is_word_at(0, privilege.name()));
    match found {
        Some(privilege) => {
            cursor.skip();
            Ok(vec![privilege])
        }
        None => Err(cursor
            .expected("a privilege")
            .with_hint("the privileges are SELECT, INSERT, UPDATE, DELETE, MODIFY and ALL; a role is granted alone: GRANT writer TO u")),
    }
}

fn grantee(cursor: &mut Cursor, direction: &str) -> Parse<Ident> {
    cursor.expect(direction)?;
    if (cursor.is_word_at(0, "USER") || cursor.is_word_at(0, "ROLE")) && cursor.is_name_at(1) {
        cursor.skip();
    }
    name(cursor, "a user's or role's name")
}

fn password(cursor: &mut Cursor) -> Parse<Password> {
    cursor.take("WITH");
    if matches!(cursor.peek(0), Token::SingleQuotedString(_)) {
        // What stands here may be the password, which no error shows.
        return Err(cursor.refusal("expected PASSWORD before the password"));
    }
    cursor.expect("PASSWORD")?;
    Ok(Password::new(cursor.string("a password in quotes")?))
}

/// Names without quotes ignore case.
fn name(cursor: &mut Cursor, what: &str) -> Parse<Ident> {
    let ident = cursor.ident(what)?;
    let value = key(&ident);
    Ok(normalised(Ident { value, ..ident }))
}
