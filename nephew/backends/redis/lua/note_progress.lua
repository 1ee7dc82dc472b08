--! uses job, claims
-- Note how far a job is, while its claim holds.
--
-- ARGV: worker, place, claim, fraction, message if there is one.
-- Reads held:<worker>, jobs; writes marks.

local id = held_at(ARGV[1], ARGV[2], ARGV[3])
if id then
    local marks = marks_of(id)
    marks.progress, marks.message = ARGV[4], ARGV[5]
    write_marks(id, marks)
end
