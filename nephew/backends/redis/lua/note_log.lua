--! uses job, claims
-- Note what an attempt has logged so far, while its claim holds.
--
-- ARGV: worker, place, claim, number of the attempt, JSON of the log.
-- Reads held:<worker>, jobs; writes marks, logs:<id>.

local id = held_at(ARGV[1], ARGV[2], ARGV[3])
if id then
    local marks = marks_of(id)
    marks.kept = true
    write_marks(id, marks)
    redis.call('HSET', key('logs', id), ARGV[4], ARGV[5])
end
