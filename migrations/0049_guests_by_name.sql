-- `guests_by_origin` begins with the name, too: one index less for each new guest.
DROP INDEX guests_by_name;
