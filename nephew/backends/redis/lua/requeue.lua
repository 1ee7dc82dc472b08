--! uses job, ends, moves, ticks
-- Put an ended job back into its queue, behind all that are there; it does not expire any more.
--
-- ARGV: id.
-- Returns 1; 0 when it has not ended, when a twin has its unique key, and when the values of the chord that it is the
-- callback of are gone.
-- Reads slots, chord:<chord>, narrow; writes ended:<state>, order, ends:<slot>, revoked, stops, marks, unique, keyof,
-- place, jobs, q:<queue>, queues, bell, bell:<queue>, parked, ticks:<schedule>, ledgers, filed, open, turns.

local id = ARGV[1]
local state = ended_as(id)
local place, _, _, marks, head = standing(id)
if not state or not place then
    return 0
end
local unique = type(head[5]) == 'string' and head[5]
if unique and redis.call('HEXISTS', key('unique'), unique) == 1 then
    return 0
end
local chord = marks.chord ~= false and type(head[6]) == 'string' and head[6]
if chord and redis.call('EXISTS', key('chord', chord)) == 0 then
    return 0
end

-- An end counts its attempt itself. (It is not decoded: errors may have characters that cjson refuses.)
local attempts = tonumber(marks.attempts) or 0
local ended = end_of(id)
if ended and string.find(string.match(ended, '^[^\n]*'), '"counted":true', 1, true) then
    attempts = attempts + 1
end
redis.call('ZREM', key('ended', state), id)
redis.call('LREM', key('order'), -1, id)
drop_end(id)
redis.call('HDEL', key('revoked'), 'r:' .. id)
redis.call('HDEL', key('stops'), id)
write_marks(id, {
    attempts = tostring(attempts), eta = '-', expires_at = 'inf',
    queue = marks.queue, priority = marks.priority, chord = marks.chord, kept = marks.kept,
})
if unique then
    redis.call('HSET', key('unique'), unique, id)
    redis.call('HSET', key('keyof'), id, unique)
end
reopen_tick_of(id, head)
to_the_back(id)
return 1
