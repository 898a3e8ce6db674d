-- Every flight that left New York in 2013: load, ask, change, travel in time, tidy up. Runs in the folder that holds the
-- CSV files; see nycflights.py.

-- One statement is one commit, however many rows; types are found in the file, NA is NULL.
CREATE TABLE flights PARTITIONED BY (month) AS SELECT * FROM read_csv('flights.csv', null_value => 'NA');
CREATE TABLE airlines AS SELECT * FROM 'airlines.csv';
CREATE TABLE airports AS SELECT * FROM read_csv('airports.csv', null_value => 'NA');
CREATE TABLE planes AS SELECT * FROM read_csv('planes.csv', null_value => 'NA');
CREATE TABLE weather AS SELECT * FROM read_csv('weather.csv', null_value => 'NA');

SELECT count(*) AS flights, count(dep_time) AS departed, round(avg(dep_delay), 2) AS mean_delay FROM flights;

SELECT a.name AS airline, count(*) AS flights, round(avg(f.arr_delay), 1) AS mean_arrival_delay
FROM flights f JOIN airlines a ON f.carrier = a.carrier
GROUP BY a.name ORDER BY mean_arrival_delay DESC LIMIT 3;

SELECT p.manufacturer, count(*) AS flights
FROM flights f JOIN planes p ON f.tailnum = p.tailnum
GROUP BY p.manufacturer ORDER BY flights DESC LIMIT 3;

SELECT w.visib < 5 AS poor_sight, round(avg(f.dep_delay), 1) AS mean_delay
FROM flights f JOIN weather w ON f.origin = w.origin AND f.time_hour = w.time_hour
GROUP BY 1 ORDER BY 1;

-- Corrections arrive: two delays that were wrong, one flight that was missing.
MERGE INTO flights AS f
USING (
    SELECT 2013 AS year, 1 AS month, 1 AS day, 'UA' AS carrier, 1545 AS flight, 'N14228' AS tailnum, 0 AS dep_delay
    UNION ALL SELECT 2013, 1, 1, 'UA', 1714, 'N24211', 1
    UNION ALL SELECT 2013, 12, 31, 'XX', 1, 'N00000', 5
) AS c
ON f.year = c.year AND f.month = c.month AND f.day = c.day AND f.carrier = c.carrier AND f.flight = c.flight
   AND f.tailnum = c.tailnum
WHEN MATCHED THEN UPDATE SET dep_delay = c.dep_delay
WHEN NOT MATCHED THEN INSERT (year, month, day, carrier, flight, tailnum, dep_delay)
    VALUES (c.year, c.month, c.day, c.carrier, c.flight, c.tailnum, c.dep_delay);

DELETE FROM flights WHERE dep_time IS NULL AND carrier <> 'XX';

SELECT (SELECT count(*) FROM flights) AS latest, (SELECT count(*) FROM flights VERSION AS OF 0) AS as_loaded,
       (SELECT count(*) FROM flights@v1) AS after_merge;

OPTIMIZE flights;
OPTIMIZE flights ZORDER BY (origin, dest);

SELECT dest, count(*) AS flights FROM flights WHERE origin = 'JFK' AND dest IN ('LAX', 'SFO') GROUP BY dest ORDER BY dest;

-- The deletion was a mistake.
RESTORE TABLE flights TO VERSION AS OF 1;
SELECT count(*) AS restored FROM flights;

VACUUM flights DRY RUN;
SELECT version, operation FROM flights$history ORDER BY version;
