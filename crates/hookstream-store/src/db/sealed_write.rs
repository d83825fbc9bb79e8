//! Writes of sealed values, refused once their key is retired.

use hookstream_model::base::vault::KeyId;

use crate::db::{
    error::Error,
    statement::{Database, Statement, Written},
};

/// Prefix of the name of a key's mark.
pub(crate) const MARK: &str = "encryption_key.";

const FIND_MARK: &str = "select name from settings where name = $1";

pub(crate) fn mark_of(id: KeyId) -> String {
    format!("{MARK}{id}")
}

/// Writes sealed values, in a transaction that requires the mark of their key.
pub(crate) async fn write(db: &dyn Database, operation: &'static str, statements: Vec<Statement>) -> Result<Written, Error> {
    let id = db.vault().keys()?.current().id();
    let mut all = vec![Statement::new(FIND_MARK, vec![mark_of(id).into()]).required()];
    all.extend(statements);
    match db.write(operation, all).await? {
        Written::Unmet(0) => Err(Error::KeyRetired { id }),
        Written::Unmet(index) => Ok(Written::Unmet(index - 1)),
        Written::Committed(mut rows) => {
            rows.remove(0);
            Ok(Written::Committed(rows))
        }
    }
}
