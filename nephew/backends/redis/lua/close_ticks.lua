--! uses ticks
-- Close ticks whose jobs have ended or are gone.
--
-- ARGV: the most ticks.
-- Returns of each its schedule, and how it is stored.
-- Reads open, jobs, ended:<state>, slots, ends:<slot>; writes open, ticks:<schedule>, ledgers, filed, turns,
-- plan:<what>.

-- So many are looked at in one step; of more, others each time.
local LOOKED = 2000

local limit = tonumber(ARGV[1])
if redis.call('EXISTS', key('open')) == 0 then
    return {}
end
local ids, over = redis.call('HRANDFIELD', key('open'), LOOKED), {}
local unfinished = unfinished_among(ids)
for _, id in ipairs(ids) do
    if not unfinished[id] and #over < limit then
        over[#over + 1] = id
    end
end
return close_ticks_of(over)
