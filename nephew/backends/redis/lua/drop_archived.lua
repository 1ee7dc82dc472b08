--! uses job, ends, archive, ticks
-- Forget jobs that are in the archive now, where they are still ended in the same way. How they ended is kept for as
-- long as results are.
--
-- ARGV: seconds that the values of chords are kept for callbacks that may be run again ('': for ever), then for each
-- job id and what tells its end from another one.
-- Returns those of them that do not belong there: they live again or have ended anew, or somebody has deleted them.
-- Reads slots, ends:<slot>, deleted, related; writes open, ticks:<schedule>, ledgers, filed, turns, plan:<what>,
-- ended:<state>, jobs, marks, attempts:<id>, logs:<id>, kin:<id>,
-- members:<chord>, chord:<chord>, callbacks.

local ttl, ids, signed = ARGV[1], {}, {}
for i = 2, #ARGV, 2 do
    ids[#ids + 1] = ARGV[i]
    signed[#signed + 1] = ARGV[i + 1]
end

local signs, gone, strays = signs_of(ids), {}, {}
for i, id in ipairs(ids) do
    if is_same(signs[i], signed[i]) then
        gone[#gone + 1] = id
    elseif redis.call('HEXISTS', key('jobs'), id) == 1 or redis.call('SISMEMBER', key('deleted'), id) == 1 then
        strays[#strays + 1] = id
    end
end
if ttl ~= '' and #gone > 0 then
    for i, record in ipairs(read(key('jobs'), gone)) do
        local _, _, _, head = parts(record or '')
        if head and type(head[6]) == 'string' then
            redis.call('EXPIRE', key('chord', head[6]), math.ceil(tonumber(ttl)))
            redis.call('UNLINK', key('kin', head[6]), key('members', head[6]))
            redis.call('HDEL', key('callbacks'), gone[i])
        end
    end
end
close_ticks_of(gone)
forget(gone)
return strays
