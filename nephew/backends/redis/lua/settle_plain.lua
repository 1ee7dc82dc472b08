--! uses ends, stream, settling
-- End claims whose ends are all plain: the jobs succeeded and bring nothing else. This is `settle` for most batches,
-- without what the others need.
--
-- ARGV: worker, number of this settle, most events kept, most records kept, seconds that ends of jobs that
-- succeeded are kept and of others ('': for ever); the claims, in runs: claim, what the events of its jobs say behind
-- their ids, how many jobs, and of each id, place and what is kept of its end. No job is told of twice.
-- Returns 1; 0, with nothing done, when `settle` has to look into it.
-- Reads workers, followed, related; writes settled, held:<worker>, stops, running, once, expiring, interim, unique, keyof,
-- ended:<state>, slots, ends:<slot>, order, revoked, event, events, awaited, expected, told:<id> and, of jobs that are
-- cut from the history, jobs, marks, attempts:<id>, logs:<id>, kin:<id>, members:<chord>, callbacks, chord:<chord>;
-- tells `ended`.

local worker, number = ARGV[1], ARGV[2]
local most_events, most_records, ttl, ttl_others = ARGV[3], ARGV[4], ARGV[5], ARGV[6]

local before = string.match(redis.call('HGET', key('settled'), worker) or '', '^%d+')
if redis.call('HEXISTS', key('workers'), worker) == 0 or (before and tonumber(before) >= tonumber(number)) then
    return 0
end

local ids, ends, places, runs, events, at = {}, {}, {}, {}, {}, 7
while at <= #ARGV do
    local claim, rest, last = ARGV[at], ARGV[at + 1], at + 2 + 3 * ARGV[at + 2]
    local n, first = #ids, #ids + 1
    for i = at + 3, last, 3 do
        local id = ARGV[i]
        n = n + 1
        ids[n] = id
        places[2 * n - 1], places[2 * n] = ARGV[i + 1], id
        ends[2 * n - 1], ends[2 * n] = id, ARGV[i + 2]
    end
    runs[#runs + 1] = {claim = claim, first = first, last = n}
    events[#events + 1] = '[["' .. table.concat(ids, '","', first, n) .. '"]' .. rest
    at = last + 1
end

local seldom = redis.call('EXISTS', key('stops'), key('running'), key('once'), key('expiring'), key('interim'),
    key('keyof'), key('revoked')) > 0
local stops = seldom and redis.call('EXISTS', key('stops')) == 1 and read(key('stops'), ids, try) or {}
local held = read(key('held', worker), ids)
for _, run in ipairs(runs) do
    for i = run.first, run.last do
        if held[i] ~= run.claim or stops[i] then
            return 0
        end
    end
end

need_for_ends(ttl, ttl_others)
many('HDEL', key('held', worker), ids)
if seldom then
    begun_no_longer(ids)
    over(ids)
    forget_revocations(ids)
end
write_ends({s = ends}, ttl, ttl_others)
file({succeeded = places}, ids, most_records)
tell_events(events, most_events, now(), #ids)
tell_waiting(ids)
redis.call('HSET', key('settled'), worker, number .. '\n')
return 1
