--! uses job, ends, store, ticks
-- Put a job from the archive back into its queue, behind all that are there; it does not expire any more.
--
-- ARGV: '1' if it may have been done before, else ''; id, queue, priority, unique key, the chord that it is the
-- callback of, parent, member, time of its enqueueing, head and payload, marks, how many attempts, the attempts, and
-- its logs (attempt, JSON …).
-- Returns 1; 0 when there is such a job, when a twin has its unique key, and when the values of the chord are gone.
-- Reads ended:<state>, slots, narrow; writes place, jobs, marks, unique, keyof, kin:<id>, related, members:<chord>,
-- chord:<chord>, attempts:<id>, logs:<id>, revoked, ends:<slot>, q:<queue>, queues, bell, bell:<queue>, parked,
-- ticks:<schedule>, ledgers, filed, open, turns.

local again, id, queue, priority, unique, chord, parent, member, enqueued, body, marks, count = unpack(ARGV, 1, 12)
if redis.call('HEXISTS', key('jobs'), id) == 1 then
    return again == '1' and not ended_as(id) and 1 or 0
end
if unique ~= '' and redis.call('HEXISTS', key('unique'), unique) == 1 then
    return 0
end
if chord ~= '' and redis.call('EXISTS', key('chord', chord)) == 0 then
    return 0
end

local place = advance('place', 1)
redis.call('HSET', key('jobs'), id, string.format('%.0f', place) .. ' ' .. enqueued .. '\n' .. body)
redis.call('HSET', key('marks'), id, marks)
if chord ~= '' then
    redis.call('PERSIST', key('chord', chord))
end
if unique ~= '' then
    redis.call('HSET', key('unique'), unique, id)
    redis.call('HSET', key('keyof'), id, unique)
end
relate('kin', parent, id)
relate('members', member, id)
redis.call('UNLINK', key('attempts', id), key('logs', id))
local last = 12 + tonumber(count)
for i = 13, last do
    redis.call('RPUSH', key('attempts', id), ARGV[i])
end
for i = last + 1, #ARGV, 2 do
    redis.call('HSET', key('logs', id), ARGV[i], ARGV[i + 1])
end
redis.call('HDEL', key('revoked'), 'r:' .. id)
drop_end(id)
reopen_tick_of(id, select(4, parts(redis.call('HGET', key('jobs'), id))))
line_up(id, place, queue, tonumber(priority))
return 1
