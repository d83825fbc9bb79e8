//! Users as rows.

use hookstream_model::{
    base::ids::UserId,
    identity::user::{Email, User},
};

use crate::db::{error::Error, statement::Columns};

pub(crate) fn read_user(columns: &mut Columns) -> Result<User, Error> {
    Ok(User {
        id: columns.id("user id", UserId::from_bytes)?,
        email: columns.word("email", |text| Email::parse(text).ok())?,
        name: columns.text("name")?,
        created_at: columns.time("created_at")?,
    })
}
