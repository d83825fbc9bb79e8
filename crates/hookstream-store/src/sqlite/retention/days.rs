//! Dropping of expired days: one file each, whatever its size.

use hookstream_model::base::time::Day;

use crate::{
    db::error::Error,
    sqlite::{
        db::{connection::failed, files::Files},
        deliveries::claim::HAS_PENDING,
    },
};

pub(crate) fn drop_days_before(files: &mut Files, day: Day) -> Result<Vec<Day>, Error> {
    let mut dropped = Vec::new();
    for old in files.days().into_iter().filter(|old| *old < day) {
        let has_pending: bool =
            files.day(old)?.connection().query_row(HAS_PENDING, [], |row| row.get(0)).map_err(failed("delete a day of messages"))?;
        if !has_pending {
            files.remove_day(old)?;
            dropped.push(old);
        }
    }
    Ok(dropped)
}
